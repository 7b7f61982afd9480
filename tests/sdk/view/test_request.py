"""Fields of bodies and queries: taken one by one, checked, and nothing left over."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.view.request import MAX_TEXT, Answer, Fields, Refused, json_object

SCALARS = st.none() | st.booleans() | st.integers() | st.text()
FINITE = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
JSON = FINITE | st.lists(st.floats())


def _refused(call, *arguments) -> Refused:
    with pytest.raises(Refused) as refused:
        call(*arguments)
    assert refused.value.status in (400, 422)
    return refused.value


def test_good_fields_are_taken() -> None:
    fields = Fields(
        {
            "a": "ä",
            "n": 3,
            "q": "3",
            "yes": True,
            "no": "false",
            "key": "AB" * 32,
            "all": ["x", "y"],
            "any": {"z": None},
        }
    )
    assert fields.text("a") == "ä"
    assert (fields.number("n", 1, 3), fields.number("q", 3, 9), fields.number("absent", 1, 9, default=7)) == (3, 3, 7)
    assert (fields.flag("yes"), fields.flag("no"), fields.flag("absent")) == (True, False, False)
    assert fields.key("key") == b"\xab" * 32
    assert fields.texts("all", 2) == ["x", "y"]
    assert fields.any("any") == {"z": None}
    fields.finish()


@pytest.mark.parametrize("value", [None, "", 1, ["a"], "x" * (MAX_TEXT + 1), "\ud800"])
def test_what_is_no_text_is_refused(value: object) -> None:
    _refused(Fields({"a": value}).text, "a")
    _refused(Fields({"a": [value]}).texts, "a", 5)


@pytest.mark.parametrize("value", [0, 10, 1.0, True, "", "x", "1e1", "-1", "٣", "9" * 5000, None, [1]])
def test_what_is_no_number_in_range_is_refused(value: object) -> None:
    _refused(Fields({"a": value}).number, "a", 1, 9)


@pytest.mark.parametrize("value", ["", "ab", "zz" * 32, "ab" * 33, 5, None, "a" * 63])
def test_what_is_no_key_is_refused(value: object) -> None:
    _refused(Fields({"a": value}).key, "a")


def test_what_nobody_took_is_refused() -> None:
    assert "'extra'" in _refused(Fields({"extra": 1}).finish).message
    _refused(Fields({}).any, "a")
    _refused(Fields({"a": ["x"] * 3}).texts, "a", 2)
    _refused(Fields({"a": "perhaps"}).flag, "a")


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_an_object_or_refused(body: bytes) -> None:
    try:
        is_object = isinstance(json.loads(body.decode()), dict)
    except ValueError:
        is_object = False
    if not is_object:
        assert _refused(json_object, body).status == 400
    elif b"NaN" not in body and b"Infinity" not in body:
        assert isinstance(json_object(body), Fields)


def test_bodies_that_are_too_deep_or_not_json_are_refused() -> None:
    for body in (b"[" * 50_000, b'{"a":' * 50_000, b'{"a":NaN}', b"[]", b"1", b"\xff", b""):
        _refused(json_object, body)


@given(FINITE)
def test_answers_are_ascii_whatever_is_in_them(value: object) -> None:
    assert Answer.json({"title": value, "lone": "\ud800"}).body.isascii()
