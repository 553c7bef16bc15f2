"""Figures of speed, each printed with the machine's facts. Run on a home that `moment demo` made."""
