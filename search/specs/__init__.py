"""What a space file may say under `search:`, declared once. Imports no torch, no Ray, no Optuna."""
