"""Samples beside each other: their sizes, their differences, and what the conditions of their synthesis did."""
