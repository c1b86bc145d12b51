"""Docstrings as descriptions, in the three styles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.agent.docs import parse

GOOGLE = """Review a contract
    and grade it.

    More about it.

    Args:
        text: The contract: as text,
            or Markdown.
        law (str, optional): Governing law.
        *rest: What else.

    Returns:
        A report.

    Raises:
        ValueError: never.
    """

NUMPY = """
    Review a contract
    and grade it.

    More about it.

    Parameters
    ----------
    text : str
        The contract: as text,
        or Markdown.
    law, other : str, optional
        Governing law.

    Returns
    -------
    Report
        A report.

    Notes
    -----
    Nothing.
    """

REST = """Review a contract
    and grade it.

    More about it.

    :param text: The contract: as text,
        or Markdown.
    :param str law: Governing law.
    :type law: str
    :returns: A report.
    :raises ValueError: never.
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, REST])
def test_each_style_gives_the_same(text: str) -> None:
    doc = parse(text)
    assert doc.summary == "Review a contract and grade it."
    assert doc.body == "More about it."
    assert doc.params["text"] == "The contract: as text, or Markdown."
    assert doc.params["law"] == "Governing law."
    assert doc.returns == "A report."


def test_numpy_names_in_one_line_share_the_text() -> None:
    assert parse(NUMPY).params["other"] == "Governing law."


def test_a_plain_docstring_is_a_summary() -> None:
    assert parse("Does it.").summary == "Does it."
    assert parse(None).summary == parse("  \n ").summary == ""


def test_a_sentence_that_ends_with_a_colon_stays_prose() -> None:
    doc = parse("Sum up.\n\nTakes the following steps:\n  one\n  two\n")
    assert doc.params == {}
    assert "steps:" in doc.body


@given(st.text(alphabet=st.sampled_from("aA :\n-*()param.Returns"), max_size=200))
def test_it_never_raises(text: str) -> None:
    parse(text)
