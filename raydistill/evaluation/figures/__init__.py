"""The figures: every one saved as PNG, PDF and SVG, with the numbers that it shows as CSV beside them."""
