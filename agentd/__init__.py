"""One agent on one machine: launches containers, keeps them within their bounds, and tells the truth about their ends."""
