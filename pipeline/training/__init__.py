"""The one training loop, the images it reads, and what a student's loss is made of.

Importing torch and lightning-fabric takes seconds, so nothing is imported here: a recipe needs the schedule alone.
"""
