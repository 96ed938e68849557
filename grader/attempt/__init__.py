"""The boundary between the judge and an answer, and all that runs beyond it.

worker.py and rules.py run in the attempt's process; wire.py runs on both sides; launch.py and proxy.py in the judge.
"""
