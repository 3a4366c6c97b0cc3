"""Language models behind one small contract: embedded, over HTTP, scripted, recorded."""
