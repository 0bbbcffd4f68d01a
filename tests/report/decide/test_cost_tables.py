from dataclasses import replace

from harness.analysis.decide.cost_study import Alternative, study_day
from harness.analysis.run.cost import REFERENCE
from harness.report.decide.cost_page import render_cost_page
from harness.report.decide.cost_tables import by_effect, cost_tables
from harness.report.decide.sweep_text import plain


def test_assumptions_are_ordered_by_the_factor_they_change_a_cost_by():
    """A tenth is more than four times as much; from nothing to something is most."""
    bill = study_day(REFERENCE).cases[0].bills[0]
    others = [Alternative(name, f"{name}?", usd) for name, usd in (("a", 40.0), ("b", 1.0))]
    ten, free = (replace(bill, usd=usd, alternatives=tuple(others)) for usd in (10.0, 0.0))
    found = [(one.usd, each.switch) for one, each in by_effect([ten, free])]
    assert [(10.0, "b"), (10.0, "a")] == found[2:]
    assert {(0.0, "a"), (0.0, "b")} == set(found[:2])


def test_assumption_with_the_largest_effect_is_first_on_the_page_and_in_its_table():
    """With what it does to the order of the systems."""
    study = study_day(REFERENCE)
    page = plain(render_cost_page(study, [], []))
    (table,) = [one for one in cost_tables(study) if one.name == "switches"]
    bill, first = by_effect(study.cases[0].bills)[0]
    assert first.switch in {cell.text for row in table.rows[:2] for cell in row}
    sentence = f"The assumption with the largest effect is {first.switch}: {first.question}"
    assert page.index(sentence) < page.index('class="tiles"')
    cheapest = min(study.cases[0].bills, key=lambda one: one.usd)
    assert (f"and then {bill.name} costs the least" in page) == (first.usd < cheapest.usd)
