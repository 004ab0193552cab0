"""What a daemon counts and measures: families with their words, histograms, and the text in which monitoring reads them."""
