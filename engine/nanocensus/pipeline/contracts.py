"""The published contracts: what a job file, the tables, the statistics and the store look like, as JSON Schema."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from nanocensus.pipeline.job.spec import Job
from nanocensus.schema import FORMAT_VERSION, TABLES, dumps
from nanocensus.sections import json_schema
from nanocensus.statistics.estimation.clusters import Cluster

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def job_contract() -> dict[str, Any]:
    """Give the contract of a job file."""
    return {"$schema": _DIALECT, "title": "nanocensus job", "x-format-version": FORMAT_VERSION, **json_schema(Job)}


def store_contract() -> dict[str, Any]:
    """Give the contract of the attributes of one micrograph's group in micrographs.zarr (OME-NGFF 0.5)."""
    axis = {
        "type": "object",
        "properties": {"name": {"enum": ["y", "x"]}, "type": {"const": "space"}, "unit": {"const": "nanometer"}},
        "required": ["name", "type", "unit"],
    }
    scale, translation = (
        {
            "type": "object",
            "properties": {
                "type": {"const": kind},
                kind: {"description": words, "type": "array", "items": item, "minItems": 2, "maxItems": 2},
            },
            "required": ["type", kind],
        }
        for kind, words, item in (
            ("scale", "Side of a pixel, nm.", {"type": "number", "exclusiveMinimum": 0}),
            ("translation", "Centre of the first pixel of a copy, nm.", {"type": "number", "minimum": 0}),
        )
    )
    dataset = {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "coordinateTransformations": {
                "type": "array",
                "prefixItems": [scale, translation],
                "items": False,
                "minItems": 1,
            },
        },
        "required": ["path", "coordinateTransformations"],
    }
    multiscale = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "type": {"description": "How the copies were made.", "enum": ["mean", "nearest"]},
            "axes": {"type": "array", "items": axis, "minItems": 2, "maxItems": 2},
            "datasets": {"type": "array", "items": dataset, "minItems": 1},
        },
        "required": ["axes", "datasets"],
    }
    return {
        "$schema": _DIALECT,
        "title": "nanocensus store",
        "description": "Attributes of /<micrograph>, /<micrograph>/probability and /<micrograph>/labels/<name>.",
        "x-format-version": FORMAT_VERSION,
        "type": "object",
        "properties": {
            "ome": {
                "type": "object",
                "properties": {
                    "version": {"const": "0.5"},
                    "multiscales": {"type": "array", "items": multiscale, "minItems": 1, "maxItems": 1},
                },
                "required": ["version", "multiscales"],
            }
        },
        "required": ["ome"],
    }


def statistics_contract() -> dict[str, Any]:
    """Give the contract of one row of the statistics tables (tables/*.csv; statistics.zarr holds the same numbers)."""
    number, count = {"type": ["number", "null"]}, {"type": "integer", "minimum": 0}
    columns: Mapping[str, tuple[Mapping[str, Any], str]] = {
        "sample": ({"type": "string"}, "Name of the synthesis condition."),
        "size_bin": (number, "Centre of the size bin, nm; absent in the table by sample."),
        "size_left": (number, "Lower edge of the size bin, nm, included."),
        "size_right": (number, "Upper edge of the size bin, nm, excluded."),
        "descriptor": ({"type": "string"}, "Column of the particles table."),
        "statistic": ({"type": "string"}, "mean, sd, cv, or a quantile."),
        "estimate": (number, "The statistic, in the unit of its column (sd, mean, quantiles) or as a ratio (cv)."),
        "lower": (number, "Lower end of the confidence interval; absent where refused."),
        "upper": (number, "Upper end of the confidence interval; absent where refused."),
        "standard_error": (number, "Standard error of the estimate; absent where refused."),
        "degrees_of_freedom": (number, "Degrees of freedom of the t distribution that was used."),
        "scale_uncertainty": (number, "What the pixel size adds, as a standard uncertainty; absent where not known."),
        "combined_standard_uncertainty": (number, "Root of the sum of its square and that of the standard error."),
        "expanded_uncertainty": (number, "That times Student's t at the level of the interval, about 2."),
        "n": (count, "Number of particles."),
        "n_micrographs": (count, "Number of micrographs of the sample, those without such a particle too."),
        "n_clusters": (count, "Number of clusters of the sample."),
        "n_occupied_clusters": (count, "Number of clusters with at least one of these particles."),
        "cluster": (
            {"enum": [name for name in get_args(Cluster) if name != "auto"]},
            "What a cluster is, which the intervals take for one observation: those of all tables of a run.",
        ),
        "refusal": ({"type": "string"}, "Why there is no interval; empty where there is one."),
    }
    optional = {"size_bin", "size_left", "size_right"}
    return {
        "$schema": _DIALECT,
        "title": "nanocensus statistics",
        "description": "One row a sample, size bin, descriptor and statistic.",
        "x-format-version": FORMAT_VERSION,
        "type": "object",
        "properties": {name: {**kind, "description": words} for name, (kind, words) in columns.items()},
        "required": [name for name in columns if name not in optional],
        "additionalProperties": False,
    }


def published(folder: Path, page: Path) -> dict[Path, str]:
    """Give every published file and what has to stand in it.

    Parameters
    ----------
    folder : Path
        Folder of the JSON Schemas.
    page : Path
        The page of docs that lists every column; those of evaluations, onsets and populations stand beside it.
    """
    from nanocensus.pipeline.baselines.excess_columns import EXCESS_TABLES
    from nanocensus.pipeline.columns_page import columns_markdown, evaluation_markdown, section_pages
    from nanocensus.pipeline.onsets.columns import ONSET_TABLES
    from nanocensus.pipeline.populations.columns import POPULATION_TABLES

    contracts: dict[str, Mapping[str, Any]] = {
        name: table.json_schema()
        for name, table in {**TABLES, **ONSET_TABLES, **EXCESS_TABLES, **POPULATION_TABLES}.items()
    }
    contracts |= {"job": job_contract(), "store": store_contract(), "statistics": statistics_contract()}
    texts = {folder / f"{name}.json": dumps(contract) for name, contract in contracts.items()}
    pages = {page: columns_markdown(list(TABLES.values())), page.with_name("evaluation.md"): evaluation_markdown()}
    return texts | pages | {page.with_name(name): text for name, text in section_pages().items()}
