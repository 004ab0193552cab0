"""The words both daemons, frameworks and people share: frozen values and enums. Imports nothing of ours."""
