#!/usr/bin/env python3
"""Checks the dependencies against deny.toml: who may depend on what, one version of each crate, licences, sources.

Reads the part of cargo-deny's format that deny.toml uses, from `cargo metadata`; installs nothing.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def main():
    policy = tomllib.loads((ROOT / "deny.toml").read_text())
    crates, dependents = graph(policy["graph"]["targets"])
    complaints = [
        *bans(policy["bans"], crates, dependents),
        *versions(policy["bans"], crates),
        *licences(policy["licenses"], crates),
        *sources(crates),
    ]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if complaints:
        sys.exit(f"{len(complaints)} complaint(s); deny.toml says what is allowed and why")
    print(f"{len(crates)} crates keep to deny.toml")


def graph(targets):
    """Every crate that is built for the targets, and by name the names of those that depend on it directly."""
    crates, dependents = {}, {}
    for target in targets:
        command = ["cargo", "metadata", "--format-version=1", "--locked", "--all-features", "--filter-platform", target]
        metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
        packages = {package["id"]: package for package in metadata["packages"]}
        for node in metadata["resolve"]["nodes"]:
            crates[node["id"]] = packages[node["id"]]
            for dependency in node["deps"]:
                name = packages[dependency["pkg"]]["name"]
                dependents.setdefault(name, set()).add(packages[node["id"]]["name"])
    return crates, dependents


def bans(policy, crates, dependents):
    for ban in policy["deny"]:
        for dependent in sorted(dependents.get(ban["crate"], set()) - set(ban.get("wrappers", []))):
            yield f"{dependent} depends on {ban['crate']}: {ban['reason']}"


def versions(policy, crates):
    found = {}
    for crate in crates.values():
        found.setdefault(crate["name"], set()).add(crate["version"])
    skipped = [entry["crate"].split("@") for entry in policy["skip"]]
    for name, several in sorted(found.items()):
        left = {version for version in several if not any(name == n and covers(v, version) for n, v in skipped)}
        if len(several) > 1 and len(left) > 1:
            yield f"{name} is there more than once: {', '.join(sorted(several))}"
    for name, version in skipped:
        several = found.get(name, set())
        if len(several) < 2 or not any(covers(version, other) for other in several):
            yield f"deny.toml skips {name}@{version}, which is not a second version any more"


def covers(prefix, version):
    return version == prefix or version.startswith(f"{prefix}.")


def licences(policy, crates):
    allowed = set(policy["allow"])
    for crate in crates.values():
        expression = crate["license"] or ""
        if crate["source"] and not satisfied(expression, allowed):
            yield f"{crate['name']} {crate['version']} is under {expression or 'no stated licence'}"


def satisfied(expression, allowed):
    """Whether an SPDX expression can be satisfied by allowed licences. AND binds closer than OR; `/` is an old OR."""
    tokens = re.findall(r"[()]|[\w.+-]+", expression.replace("/", " OR "))

    def either():
        result = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            result = both() or result
        return result

    def both():
        result = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            result = one() and result
        return result

    def one():
        if not tokens:
            return False
        if tokens[0] == "(":
            tokens.pop(0)
            result = either()
            if not tokens or tokens.pop(0) != ")":
                return False
            return result
        name = tokens.pop(0)
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            name = f"{name} WITH {tokens.pop(0) if tokens else ''}"
        return name in allowed

    return either() and not tokens


def sources(crates):
    for crate in crates.values():
        inside = crate["source"] is None and ROOT in pathlib.Path(crate["manifest_path"]).parents
        if not inside and crate["source"] != CRATES_IO:
            yield f"{crate['name']} comes from {crate['source'] or crate['manifest_path']}"


if __name__ == "__main__":
    main()
