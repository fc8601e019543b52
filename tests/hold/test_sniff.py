"""What is spoken, by the first bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.hold.sniff import H2_PREFACE, Spoken, sniff


@pytest.mark.parametrize(
    ("first", "spoken"),
    [
        pytest.param(b"", None, id="nothing yet"),
        pytest.param(b"GET / HTTP/1.1\r\n", Spoken.HTTP1, id="a request"),
        pytest.param(b"POST ", Spoken.HTTP1, id="a method and a space"),
        pytest.param(b"POS", None, id="half a method"),
        pytest.param(b"\r\nGET /", Spoken.HTTP1, id="an empty line before"),
        pytest.param(b"\r", None, id="half an empty line"),
        pytest.param(b"VERSION-CONTROL /", Spoken.HTTP1, id="a method with a hyphen"),
        pytest.param(b"get /", Spoken.OTHER, id="methods are upper case"),
        pytest.param(b"A" * 40, Spoken.OTHER, id="no method is that long"),
        pytest.param(b" /", Spoken.OTHER, id="no method"),
        pytest.param(H2_PREFACE, Spoken.HTTP2, id="the preface"),
        pytest.param(H2_PREFACE + b"\0\0\0", Spoken.HTTP2, id="the preface and more"),
        pytest.param(b"PRI * HTTP/2.0", Spoken.HTTP2, id="its line"),
        pytest.param(b"P", None, id="POST or the preface"),
        pytest.param(b"PRI * HTTP/", None, id="most of its line"),
        pytest.param(b"PRI / HTTP/1.1", Spoken.OTHER, id="a method that is none"),
        pytest.param(b"\x16", None, id="half a handshake"),
        pytest.param(b"\x16\x03\x01\x02\0\x01", Spoken.TLS, id="a client hello"),
        pytest.param(b"\x16\x02", Spoken.OTHER, id="no handshake"),
        pytest.param(b"\x80\x2e", Spoken.OTHER, id="binary"),
        pytest.param(b"*1\r\n$4\r\nPING\r\n", Spoken.OTHER, id="Redis"),
    ],
)
def test_what_is_spoken(first: bytes, spoken: Spoken | None) -> None:
    assert sniff(first) == spoken


@given(st.binary(max_size=60) | st.sampled_from((H2_PREFACE, b"\r\n\r\nDELETE /x HTTP/1.1\r\n")), st.data())
def test_more_bytes_never_change_an_answer_and_soon_give_one(first: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(first)))
    early = sniff(first[:cut])
    assert early is None or early == sniff(first)
    assert len(first) <= 36 or sniff(first) is not None
