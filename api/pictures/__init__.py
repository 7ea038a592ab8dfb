"""What people look at: an assessment as steps from base to score, drawn in a terminal or as SVG, and advice in words.

`figures` writes a value in its unit, `steps` decides what is shown, `terminal` and `svg` draw it.
"""
