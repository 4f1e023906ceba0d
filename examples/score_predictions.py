import sys

import pandas as pd

scored = pd.read_parquet(sys.argv[1]).dropna(subset=["outcome_close"])
scored["squared_error"] = (scored.outcome_change - scored.calibrated_change) ** 2
scored["squared_error_zero"] = scored.outcome_change**2
scored["inside_90"] = scored.outcome_close.between(scored.lower_close_90, scored.upper_close_90)
table = scored.groupby("symbol").agg(
    outcomes=("outcome_close", "size"),
    squared_error=("squared_error", "sum"),
    squared_error_zero=("squared_error_zero", "sum"),
    inside_90=("inside_90", "mean"),
)
table["skill"] = 1 - table.squared_error / table.squared_error_zero
print(table[["outcomes", "skill", "inside_90"]].to_string(float_format="{:+.4f}".format))
