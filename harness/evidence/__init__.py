"""What a History means: waits, deadlocks, anomalies, the verdict; and the store under ``results/``."""
