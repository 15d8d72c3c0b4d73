"""Lists of seeds: what they mean, and one line for what they cannot."""

import pytest

from infinitygan_jax.cli import seeds
from infinitygan_jax.seed_range import SEED_LIMIT


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1", "2", "3"], [1, 2, 3]),
        (["0-3,7"], [0, 1, 2, 3, 7]),
        (["7,0-2", "9"], [7, 0, 1, 2, 9]),
        (["5-5"], [5]),
        (["1_000-1_002", " 4 , 6 - 7 "], [1000, 1001, 1002, 4, 6, 7]),
        ([f"{2**64 - 2}-{2**64 - 1}"], [2**64 - 2, 2**64 - 1]),
        (["2,2"], [2, 2]),
    ],
)
def test_ranges_hold_both_ends_and_keep_their_order(texts, expected):
    assert seeds.listed("--seeds", texts) == expected
    assert seeds.styles("--styles", texts) == list(map(str, expected))


def test_seeds_have_the_limit_of_fields():
    seeds.listed("--seeds", [str(SEED_LIMIT - 1)])
    with pytest.raises(ValueError, match=r"from 0 to 2\*\*64 - 1"):
        seeds.listed("--seeds", [str(SEED_LIMIT)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5-", ["--seeds ('5-')", "write e.g. 0-99,120"]),
        ("-5", ["--seeds: seed (-5)", "from 0 to", "use 5"]),
        ("9-3", ["--seeds (9-3)", "write 3-9"]),
        ("a", ["--seeds ('a')", "seeds or ranges"]),
        ("1,,2", ["--seeds ('1,,2')"]),
        ("1,", ["--seeds ('1,')"]),
        ("1-2-3", ["--seeds ('1-2-3')"]),
        ("1.5", ["--seeds ('1.5')"]),
        ("1__0", ["--seeds ('1__0')"]),
        ("9" * 5000, ["--seeds ("]),
        (f"0-{2**64}", [f"seed ({2**64})"]),
        (f"0-{2**64 - 1}", ["at most 10000", str(2**64)]),
        ("0-10000", ["at most 10000", "10001", "fewer"]),
    ],
)
def test_what_is_no_list_is_one_line(text, words):
    with pytest.raises(ValueError) as error:
        seeds.listed("--seeds", [text])
    for word in words:
        assert word in str(error.value)


def test_as_many_as_may_be_are_given():
    assert seeds.listed("--seeds", ["0-9998", "5"]) == [*range(9999), 5]
    with pytest.raises(ValueError, match="10001"):
        seeds.styles("--styles", ["0-9999", "a.npz"])


def test_styles_with_places_and_files_stay_as_they_are():
    texts = ["5@0.5,0.25", "0-1,3.npz", "a-b.npz@0,0", "x"]
    assert seeds.styles("--styles", texts) == texts
