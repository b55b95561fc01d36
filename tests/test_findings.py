"""Findings are data: code, place, numbers and advice are fields, and sentences are made from them once."""

import ast
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn.report.advice import ADVICE, Advice
from pynn.report.finding import Finding

PACKAGE = Path(pynn.__file__).parent
TEXT = {"message", "remedy"}
METHODS = {"replace", "startswith", "endswith", "find", "index", "split", "partition", "count", "removeprefix", "strip"}


def readings(tree):
    """Lines on which code searches, compares or changes the text of an error or a finding."""
    handlers = [node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name]
    caught = {"error", "caught", *handlers}

    def is_text(node):
        if isinstance(node, ast.Attribute):
            return node.attr in TEXT
        if isinstance(node, ast.Subscript):  # error.args[0]
            return isinstance(node.value, ast.Attribute) and node.value.attr == "args"
        return (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", "") in ("str", "repr")
            and len(node.args) == 1
            and (getattr(node.args[0], "id", None) in caught or getattr(node.args[0], "attr", "") in ("report", *TEXT))
        )

    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(map(is_text, (node.left, *node.comparators))):
            yield node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in METHODS and is_text(node.func.value):
                yield node.lineno
            if getattr(node.func.value, "id", "") == "re" and any(map(is_text, node.args)):
                yield node.lineno


def test_no_code_reads_a_message():
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line in readings(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize("line", [
    "'validation' in str(error)", "str(error).replace('a', 'b')", "re.search('a', str(error))",
    "finding.message.replace('a', 'b')", "'rate' in spoken.remedy", "error.args[0].split(';')",
])  # fmt: skip
def test_what_counts_as_reading_a_message(line):
    assert list(readings(ast.parse(line))) == [1]


def fault():
    x, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 2
    x[4, 1] = np.inf
    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("softmax_cross_entropy")
    with pytest.raises(pynn.NonfiniteDataError) as caught:
        model.fit(x, y)
    return caught.value


def test_an_error_words_its_first_finding():
    error = fault()
    (finding,) = error.report.findings
    assert finding.advice == (Advice.SKIP_OR_IMPUTE,)
    assert str(error) == f"{finding.message}. {finding.remedy}"
    error.report.findings = [finding.with_evidence(column_names=["age"])]
    assert str(error).startswith("expected X of finite numbers; received X[4, 'age']=inf. ")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_findings_pass_through_json_and_pickle():
    (finding,) = fault().report.findings
    assert Finding.from_dict(json.loads(json.dumps(finding.to_dict()))).to_dict() == finding.to_dict()
    assert pickle.loads(pickle.dumps(finding)) == finding
    assert finding.to_dict()["advice"] == ["skip_or_impute"]


def test_a_finding_of_version_0_1_keeps_its_words():
    kept = {
        "code": "dead_relu", "severity": "warning", "message": "90% of the units are 0", "remedy": "Start again.",
        "layer": 0, "step": 7, "rows": [], "columns": [], "evidence": {"dead": 0.9},
    }  # fmt: skip
    unpickled = Finding.__new__(Finding)
    unpickled.__setstate__(dict(kept))
    for finding in (unpickled, Finding.from_dict(kept)):
        assert (finding.message, finding.remedy, finding.layer) == ("90% of the units are 0", "Start again.", 0)
        assert "Start again." in str(finding)
        assert Finding.from_dict(finding.to_dict()) == finding


def test_every_advice_has_words():
    assert set(ADVICE) == set(Advice)
    assert all(text.endswith(".") for text in ADVICE.values())


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_the_error_says_how_often_the_guard_tried(policy):
    x, y = np.random.default_rng(0).normal(size=(200, 3)), np.arange(200) % 2
    model = pynn.Sequential([pynn.Dense(2)])
    model.compile("softmax_cross_entropy", pynn.SGD(0.1))
    model.build(3)
    model.layers[0].kernel[0, 0] = np.nan
    with pytest.raises(pynn.NumericalError) as caught:
        model.fit(x, y, guard=pynn.Guard(policy=policy, streak=2, max_rollbacks=2))
    said = caught.value.report.findings[0].evidence
    assert (said["batches_in_a_row"] == 2) if policy == "skip" else (said["rollbacks"] == 0)
