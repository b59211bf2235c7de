"""The figures; each is saved as PNG, PDF and SVG, with the plotted numbers as CSV."""
