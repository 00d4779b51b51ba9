"""Figures as HoloViews elements, each from plain values."""
