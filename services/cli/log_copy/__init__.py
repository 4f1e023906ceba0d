"""`ulstm copy`: a deployment's log as the log of another one, with other symbol groups."""
