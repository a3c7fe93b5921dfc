"""The outputs of several networks made those of one, in the file of the task's name: what an ensemble says."""
