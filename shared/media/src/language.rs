//! Languages: manifests write BCP 47 (`en`, `pt-BR`), containers hold ISO 639-2 (`eng`, `por`).

/// Each ISO 639-1 code, and the ISO 639-2/T code behind it.
const CODES: &str = "\
    aaaar ababk aeave afafr akaka amamh anarg arara asasm avava ayaym azaze babak bebel bgbul bhbih bibis bmbam bnben \
    bobod brbre bsbos cacat ceche chcha cocos crcre csces cuchu cvchv cycym dadan dedeu dvdiv dzdzo eeewe elell eneng \
    eoepo esspa etest eueus fafas ffful fifin fjfij fofao frfra fyfry gagle gdgla glglg gngrn guguj gvglv hahau heheb \
    hihin hohmo hrhrv hthat huhun hyhye hzher iaina idind ieile igibo iiiii ikipk ioido isisl itita iuiku jajpn jvjav \
    kakat kgkon kikik kjkua kkkaz klkal kmkhm knkan kokor krkau kskas kukur kvkom kwcor kykir lalat lbltz lglug lilim \
    lnlin lolao ltlit lulub lvlav mgmlg mhmah mimri mkmkd mlmal mnmon mrmar msmsa mtmlt mymya nanau nbnob ndnde nenep \
    ngndo nlnld nnnno nonor nrnbl nvnav nynya ococi ojoji omorm orori ososs papan pipli plpol pspus ptpor quque rmroh \
    rnrun roron rurus rwkin sasan scsrd sdsnd sesme sgsag sisin skslk slslv smsmo snsna sosom sqsqi srsrp ssssw stsot \
    susun svswe swswa tatam tetel tgtgk ththa titir tktuk tltgl tntsn toton trtur tstso tttat twtwi tytah uguig ukukr \
    ururd uzuzb veven vivie vovol wawln wowol xhxho yiyid yoyor zazha zhzho zuzul";

/// Languages that have two codes in ISO 639-2: the terminological one, which is used here, and the bibliographical one,
/// which Matroska writes. Where QuickTime has a number for the language, what FFmpeg calls that comes third.
const NAMES: [(&str, &str, Option<&str>); 24] = [
    ("bod", "tib", Some("tib")),
    ("ces", "cze", None),
    ("cym", "wel", Some("wel")),
    ("deu", "ger", Some("ger")),
    ("ell", "gre", Some("gre")),
    ("eus", "baq", Some("baq")),
    ("fao", "fao", Some("fo ")),
    ("fas", "per", None),
    ("fra", "fre", None),
    ("hrv", "scr", Some("hr ")),
    ("hye", "arm", Some("arm")),
    ("isl", "ice", Some("ice")),
    ("kat", "geo", Some("geo")),
    ("mkd", "mac", Some("mac")),
    ("mri", "mao", None),
    ("msa", "may", Some("may")),
    ("mya", "bur", Some("bur")),
    ("nld", "dut", Some("dut")),
    ("ron", "rum", None),
    ("slk", "slo", None),
    ("sqi", "alb", Some("alb")),
    ("srp", "scc", Some("sr ")),
    ("swe", "sve", Some("sve")),
    ("zho", "chi", Some("chi")),
];

/// The code by which FFmpeg finds QuickTime's number of a language.
pub(crate) fn quicktime(code: &str) -> &str {
    NAMES.iter().find(|(name, ..)| *name == code).and_then(|(.., known)| *known).unwrap_or(code)
}

/// The ISO 639-2 code of a language tag, if it has one.
pub(crate) fn iso_639_2(tag: &str) -> Option<String> {
    let primary = tag.split(['-', '_']).next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = match primary.len() {
        2 => CODES.split(' ').find(|pair| pair.starts_with(&primary)).map(|pair| pair[2..].to_owned()),
        3 if primary.bytes().all(|letter| letter.is_ascii_lowercase()) => {
            let name = NAMES.iter().find(|(_, other, _)| *other == primary).map(|(name, ..)| (*name).to_owned());
            Some(name.unwrap_or(primary))
        }
        _ => None,
    };
    known.filter(|code| code != "und")
}

#[cfg(test)]
mod tests {
    use super::{iso_639_2, quicktime};

    #[test]
    fn tags_of_both_kinds_become_codes() {
        for (tag, code) in
            [("en", "eng"), ("pt-BR", "por"), ("DE", "deu"), ("zh_Hant", "zho"), ("ger", "deu"), ("hr ", "hrv")]
        {
            assert_eq!(iso_639_2(tag).as_deref(), Some(code), "{tag}");
        }
        for tag in ["", "und", "x", "e\u{e9}", "english", "12a"] {
            assert_eq!(iso_639_2(tag), None, "{tag}");
        }
        for code in ["deu", "fra", "swe", "hrv", "jpn"] {
            assert_eq!(iso_639_2(quicktime(code)).as_deref(), Some(code));
        }
    }
}
