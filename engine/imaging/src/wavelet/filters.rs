use std::f64::consts::FRAC_1_SQRT_2;

use crate::Error;

/// An orthogonal wavelet, by the names of PyWavelets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wavelet {
    /// Haar, 2 taps.
    Haar,
    /// Daubechies, 2 vanishing moments, 4 taps.
    Db2,
    /// Daubechies, 3 vanishing moments, 6 taps.
    Db3,
    /// Daubechies, 4 vanishing moments, 8 taps.
    Db4,
    /// Daubechies, 5 vanishing moments, 10 taps.
    Db5,
    /// Daubechies, 6 vanishing moments, 12 taps.
    Db6,
    /// Daubechies, 7 vanishing moments, 14 taps.
    Db7,
    /// Daubechies, 8 vanishing moments, 16 taps.
    Db8,
    /// Least asymmetric Daubechies, 4 vanishing moments, 8 taps.
    Sym4,
    /// Least asymmetric Daubechies, 5 vanishing moments, 10 taps.
    Sym5,
    /// Least asymmetric Daubechies, 6 vanishing moments, 12 taps.
    Sym6,
    /// Least asymmetric Daubechies, 7 vanishing moments, 14 taps.
    Sym7,
    /// Least asymmetric Daubechies, 8 vanishing moments, 16 taps.
    Sym8,
    /// Coiflet of order 1, 6 taps.
    Coif1,
    /// Coiflet of order 2, 12 taps.
    Coif2,
    /// Coiflet of order 3, 18 taps.
    Coif3,
}

/// Every wavelet with its name and its low-pass decomposition filter, which sums to √2.
///
/// I. Daubechies, Ten lectures on wavelets, SIAM 1992, tables 6.1, 6.3 and 8.1.
const FILTERS: [(Wavelet, &str, &[f64]); 16] = [
    (Wavelet::Haar, "haar", &[FRAC_1_SQRT_2, FRAC_1_SQRT_2]),
    (Wavelet::Db2, "db2", &[-0.12940952255126037, 0.2241438680420134, 0.8365163037378079, 0.48296291314453416]),
    (
        Wavelet::Db3,
        "db3",
        &[
            0.03522629188570953,
            -0.08544127388202666,
            -0.13501102001025458,
            0.45987750211849154,
            0.8068915093110925,
            0.33267055295008263,
        ],
    ),
    (
        Wavelet::Db4,
        "db4",
        &[
            -0.010597401785069032,
            0.0328830116668852,
            0.030841381835560764,
            -0.18703481171909309,
            -0.027983769416859854,
            0.6308807679298589,
            0.7148465705529157,
            0.2303778133088965,
        ],
    ),
    (
        Wavelet::Db5,
        "db5",
        &[
            0.0033357252854737712,
            -0.012580751999081999,
            -0.006241490212798274,
            0.07757149384004572,
            -0.032244869584638375,
            -0.24229488706638203,
            0.13842814590132074,
            0.7243085284377729,
            0.6038292697971896,
            0.16010239797419293,
        ],
    ),
    (
        Wavelet::Db6,
        "db6",
        &[
            -0.0010773010853084796,
            0.004777257510945511,
            0.0005538422011614961,
            -0.03158203931748603,
            0.027522865530305727,
            0.09750160558732304,
            -0.12976686756726194,
            -0.22626469396543983,
            0.31525035170919763,
            0.7511339080210954,
            0.49462389039845306,
            0.11154074335010947,
        ],
    ),
    (
        Wavelet::Db7,
        "db7",
        &[
            0.00035371379997452024,
            -0.0018016407040474908,
            0.0004295779729213665,
            0.01255099855609984,
            -0.01657454163066688,
            -0.03802993693501441,
            0.08061260915108308,
            0.07130921926683026,
            -0.22403618499387498,
            -0.14390600392856498,
            0.4697822874051931,
            0.7291320908462351,
            0.3965393194819173,
            0.07785205408500918,
        ],
    ),
    (
        Wavelet::Db8,
        "db8",
        &[
            -0.00011747678412476953,
            0.0006754494064505693,
            -0.00039174037337694705,
            -0.004870352993451574,
            0.008746094047405777,
            0.013981027917398282,
            -0.044088253930794755,
            -0.017369301001807547,
            0.12874742662047847,
            0.0004724845739132828,
            -0.2840155429615469,
            -0.015829105256349306,
            0.5853546836542067,
            0.6756307362972898,
            0.31287159091429995,
            0.05441584224310401,
        ],
    ),
    (
        Wavelet::Sym4,
        "sym4",
        &[
            -0.07576571478927333,
            -0.02963552764599851,
            0.49761866763201545,
            0.8037387518059161,
            0.29785779560527736,
            -0.09921954357684722,
            -0.012603967262037833,
            0.0322231006040427,
        ],
    ),
    (
        Wavelet::Sym5,
        "sym5",
        &[
            0.027333068345077982,
            0.029519490925774643,
            -0.039134249302383094,
            0.1993975339773936,
            0.7234076904024206,
            0.6339789634582119,
            0.01660210576452232,
            -0.17532808990845047,
            -0.021101834024758855,
            0.019538882735286728,
        ],
    ),
    (
        Wavelet::Sym6,
        "sym6",
        &[
            0.015404109327027373,
            0.0034907120842174702,
            -0.11799011114819057,
            -0.048311742585633,
            0.4910559419267466,
            0.787641141030194,
            0.3379294217276218,
            -0.07263752278646252,
            -0.021060292512300564,
            0.04472490177066578,
            0.0017677118642428036,
            -0.007800708325034148,
        ],
    ),
    (
        Wavelet::Sym7,
        "sym7",
        &[
            0.002681814568257878,
            -0.0010473848886829163,
            -0.01263630340325193,
            0.03051551316596357,
            0.0678926935013727,
            -0.049552834937127255,
            0.017441255086855827,
            0.5361019170917628,
            0.767764317003164,
            0.2886296317515146,
            -0.14004724044296152,
            -0.10780823770381774,
            0.004010244871533663,
            0.010268176708511255,
        ],
    ),
    (
        Wavelet::Sym8,
        "sym8",
        &[
            -0.0033824159510061256,
            -0.0005421323317911481,
            0.03169508781149298,
            0.007607487324917605,
            -0.1432942383508097,
            -0.061273359067658524,
            0.4813596512583722,
            0.7771857517005235,
            0.3644418948353314,
            -0.05194583810770904,
            -0.027219029917056003,
            0.049137179673607506,
            0.003808752013890615,
            -0.01495225833704823,
            -0.0003029205147213668,
            0.0018899503327594609,
        ],
    ),
    (
        Wavelet::Coif1,
        "coif1",
        &[
            -0.015655728135791993,
            -0.07273261951252645,
            0.3848648468648578,
            0.8525720202116004,
            0.3378976624574818,
            -0.07273261951252645,
        ],
    ),
    (
        Wavelet::Coif2,
        "coif2",
        &[
            -0.000720549445520347,
            -0.0018232088709110323,
            0.005611434819368834,
            0.02368017194684777,
            -0.05943441864643109,
            -0.07648859907828076,
            0.4170051844232391,
            0.8127236354494135,
            0.3861100668227629,
            -0.0673725547237256,
            -0.04146493678687178,
            0.01638733646320364,
        ],
    ),
    (
        Wavelet::Coif3,
        "coif3",
        &[
            -3.459977319727278e-05,
            -7.0983302506379e-05,
            0.0004662169598204029,
            0.0011175187708306303,
            -0.0025745176881367972,
            -0.009007976136730624,
            0.015880544863669452,
            0.03455502757329774,
            -0.08230192710629983,
            -0.07179982161915484,
            0.42848347637737,
            0.7937772226260872,
            0.40517690240911824,
            -0.06112339000297255,
            -0.06577191128146936,
            0.023452696142077168,
            0.007782596425672746,
            -0.003793512864380802,
        ],
    ),
];

impl Wavelet {
    /// The low-pass decomposition filter.
    pub(super) fn low(self) -> &'static [f64] {
        FILTERS.iter().find(|(wavelet, ..)| *wavelet == self).map_or(&[], |(_, _, low)| low)
    }

    /// Its mirror `(-1)^(k+1) low[n-1-k]`, the high-pass filter.
    pub(super) fn high(self) -> Vec<f64> {
        let signed = |(k, v): (usize, &f64)| if k % 2 == 0 { -v } else { *v };
        self.low().iter().rev().enumerate().map(signed).collect()
    }
}

impl std::str::FromStr for Wavelet {
    type Err = Error;

    /// Parses `haar`, `db2` to `db8`, `sym4` to `sym8`, `coif1` to `coif3`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for any other word.
    fn from_str(word: &str) -> Result<Self, Error> {
        FILTERS.iter().find(|(_, name, _)| *name == word).map(|(wavelet, ..)| *wavelet).ok_or_else(|| {
            Error::InvalidArgument {
                name: "wavelet",
                expected: "haar, db2 to db8, sym4 to sym8 or coif1 to coif3",
                found: word.to_owned(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_is_orthogonal_to_its_even_shifts() {
        for (wavelet, name, low) in FILTERS {
            assert_eq!(name.parse(), Ok(wavelet));
            assert!((low.iter().sum::<f64>() - 2f64.sqrt()).abs() < 1e-8, "{name}");
            for shift in (0..low.len()).step_by(2) {
                let product: f64 = low.iter().zip(&low[shift..]).map(|(a, b)| a * b).sum();
                let expected = if shift == 0 { 1.0 } else { 0.0 };
                assert!((product - expected).abs() < 1e-8, "{name} {shift}: {product}");
            }
            assert!(wavelet.high().iter().sum::<f64>().abs() < 1e-8, "{name}");
        }
        assert!(matches!("db99".parse::<Wavelet>(), Err(Error::InvalidArgument { .. })));
    }
}
