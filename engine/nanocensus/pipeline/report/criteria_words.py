"""Criteria and reasons in words, for people who read a report."""

import dataclasses
from collections.abc import Mapping

from nanocensus.measure.acceptance import RULES, Rule
from nanocensus.measure.criteria import Criteria

_PHRASES: Mapping[str, tuple[str, str]] = {
    "exclude_border": ("not on the border of its micrograph", "on the border of its micrograph or not"),
    "min_pixels": ("at least {:g} pixels", "any number of pixels"),
    "min_area_nm2": ("area of at least {:g} nm²", "no least area"),
    "max_area_nm2": ("area of at most {:g} nm²", "no largest area"),
    "max_eccentricity": ("eccentricity below {:g}", "any eccentricity"),
    "min_solidity": ("solidity above {:g}", "any solidity"),
    "min_convexity": ("convexity above {:g}", "any convexity"),
    "min_mean_probability": ("mean probability of at least {:g}", "any mean probability"),
}
"""What each criterion asks for, and what holds where it is off."""


def criterion_in_words(rule: Rule, criteria: Criteria, *, assumed: bool = False) -> str:
    """Say what one criterion asks of a particle.

    Examples
    --------
    >>> criterion_in_words(RULES[2], Criteria()), criterion_in_words(RULES[6], Criteria())
    ('area of at least 6 nm²', 'any convexity')
    """
    bound = rule.bound(criteria)
    asked, off = _PHRASES[rule.criterion]
    if bound is None:
        return off
    return asked.format(bound) + (" (assumed scale)" if assumed and "nm²" in asked else "")


def criteria_in_words(criteria: Criteria, *, assumed: bool = False) -> list[str]:
    """Say what a particle has to fulfil: one phrase a criterion, then one a sample with bounds of its own.

    Examples
    --------
    >>> criteria_in_words(Criteria(min_pixels=None, max_eccentricity=None, min_solidity=None))
    ['not on the border of its micrograph', 'area of at least 6 nm²']
    """
    common = [criterion_in_words(rule, criteria, assumed=assumed) for rule in RULES if rule.bound(criteria) is not None]
    return common + [f"in {name}: {_differences(criteria, name, assumed)}" for name in criteria.samples or {}]


def _differences(criteria: Criteria, sample: str, assumed: bool) -> str:
    own, common = criteria.of(sample), dataclasses.replace(criteria, samples=None)
    changed = [rule for rule in RULES if rule.bound(own) != rule.bound(common)]
    return ", ".join(criterion_in_words(rule, own, assumed=assumed) for rule in changed) or "the same"


def reason_in_words(reason: str) -> str:
    """Give a reason as people write it.

    Examples
    --------
    >>> reason_in_words("too_few_pixels")
    'too few pixels'
    """
    return reason.replace("_", " ")
