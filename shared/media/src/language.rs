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

/// The ISO 639-2 code of a language tag, if it has one.
pub(crate) fn iso_639_2(tag: &str) -> Option<String> {
    let primary = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let known = match primary.len() {
        2 => CODES.split(' ').find(|pair| pair.starts_with(&primary)).map(|pair| pair[2..].to_owned()),
        3 if primary.bytes().all(|letter| letter.is_ascii_lowercase()) => Some(primary),
        _ => None,
    };
    known.filter(|code| code != "und")
}

#[cfg(test)]
mod tests {
    use super::iso_639_2;

    #[test]
    fn tags_of_both_kinds_become_codes() {
        for (tag, code) in [("en", "eng"), ("pt-BR", "por"), ("DE", "deu"), ("zh_Hant", "zho"), ("fra", "fra")] {
            assert_eq!(iso_639_2(tag).as_deref(), Some(code), "{tag}");
        }
        for tag in ["", "und", "x", "e\u{e9}", "english", "12a"] {
            assert_eq!(iso_639_2(tag), None, "{tag}");
        }
    }
}
