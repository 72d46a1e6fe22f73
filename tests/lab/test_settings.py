import pytest
from node import run_node

from twinfilters.lab.settings import SETTINGS, checked

GOOD = (
    {},
    {"digits": [0, 9], "images": 1, "batch": 1},
    {"gap": 0, "seed": 999_999, "filters": 4, "kernel": 5},
    {"loss": "cross_entropy", "activation": "gelu", "frozen": "twin", "tied_bias": False},
    {"learning_rate": 10, "momentum": 0.999, "label_noise": 10, "weight_decay": 1, "dropout": 0.9},
)
BAD = (
    {"filter": 2},
    {"digits": [3, 3]},
    {"digits": [3, 10]},
    {"digits": [3]},
    {"digits": "38"},
    {"digits": [True, 8]},
    {"images": 0},
    {"images": 101},
    {"images": 2.5},
    {"filters": 1},
    {"filters": 5},
    {"filters": True},
    {"kernel": 6},
    {"activation": "sigmoid"},
    {"activation": 3},
    {"loss": "hinge"},
    {"gap": -1e-9},
    {"gap": 1.5},
    {"gap": "small"},
    {"tied_filter": 1},
    {"seed": -1},
    {"seed": 1_000_000},
    {"learning_rate": 0},
    {"learning_rate": 11},
    {"momentum": 1},
    {"batch": 101},
    {"batch": 11, "images": 10},
    {"label_noise": -0.1},
    {"label_noise": 0.1, "loss": "cross_entropy"},
    {"weight_decay": 2},
    {"dropout": 1},
    {"frozen": "both"},
)
CHECKS = """
answer(INPUT.map((given) => {
  try {
    return { values: checkedSettings(given) };
  } catch (error) {
    return { error: error.message };
  }
}));
"""


def test_both_sides_accept_the_same():
    for given, result in zip(GOOD, run_node(CHECKS, GOOD), strict=True):
        assert result == {"values": checked(given)}
        assert list(result["values"]) == list(SETTINGS)


def test_both_sides_refuse_the_same_and_say_why():
    for given, result in zip(BAD, run_node(CHECKS, BAD), strict=True):
        with pytest.raises(ValueError, match=r"must be .*, got .+") as raised:
            checked(given)
        wanted, _, came = str(raised.value).rpartition(", got ")
        theirs, _, got = result["error"].rpartition(", got ")
        assert theirs == wanted
        assert got
        assert came


def test_what_is_no_number():
    for number in (float("nan"), float("inf"), None, [1]):
        with pytest.raises(ValueError, match="gap must be a number between 0 and 1, got"):
            checked({"gap": number})
    theirs = run_node("""
    const refused = (given) => { try { checkedSettings(given); return false; } catch { return true; } };
    answer([NaN, Infinity, [1], "1"].map((gap) => refused({ gap })));
    """)
    assert theirs == [True] * 4
