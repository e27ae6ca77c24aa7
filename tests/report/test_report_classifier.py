"""The page of a classifier: its numbers, its matrix, and that names of strangers stay text."""

import re

import numpy as np

from hybrid_control.report.classifier import Answers, Example, page, shares

TRUTH, SAID = ["a/x", "a/x", "a/y", "b"], ["a/x", "a/y", "a/y", "a/x"]


def test_report_classifier_shares_are_right_pictures_of_those_of_the_class():
    pairs = {("a", "a"): 3, ("a", "b"): 1, ("b", "a"): 2}
    assert shares(pairs) == {"a": (3, 4), "b": (0, 2)}


def test_report_classifier_page_shows_accuracy_mistakes_examples_and_curve():
    pixels = np.zeros((4, 4, 3), np.uint8)
    examples = [Example(pixels, "a/x", "a/x"), Example(pixels, "b", "a/x")]
    text = page(Answers("fruit", "four pictures", TRUTH, SAID, examples, [(0, 0.0), (2, 0.5)], {"seed": "3"}))
    assert "50.0 % right" in text
    assert "<td>b</td><td>a/x</td><td>1</td>" in text
    assert text.count("<figure>") == text.count("data:image/jpeg;base64,") == 2
    assert "b taken for <b>x</b>" in text
    assert "after 2 pictures: 50.0 % of the next" in text
    assert "a/x: 1 of 2 taken for a/y" in text
    assert "<td>seed</td><td>3</td>" in text
    assert not re.search(r"""(src|href)=["']?(http|//)""", text)


def test_report_classifier_matrix_has_a_cell_for_each_pair_and_a_row_and_column_for_each_class():
    text = page(Answers("fruit", "", TRUTH, SAID))
    matrix = text[text.index("<h2>Confusion") :]
    assert len(re.findall(r"opacity: [\d.]+\"", matrix)) == 4
    for name in "xyb":
        assert len(re.findall(rf"<text[^>]*>{name}</text>", matrix)) == 2
    assert "<h2>Learning" not in text


def test_report_classifier_page_of_one_picture_that_nothing_was_said_of():
    assert "0.0 % right" in page(Answers("one", "", ["a"], [""]))


def test_report_classifier_names_are_text_whatever_they_hold():
    name = "<script>alert(1)</script>&\"'"
    text = page(Answers(name, name, [name], ["b"], [Example(np.zeros((2, 2, 3), np.uint8), name, "b")]))
    assert "<script>alert" not in text
    assert 'alt="&lt;' in text
