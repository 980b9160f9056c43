# shellcheck shell=bash disable=SC2034
# Options of recipes that read a corpus of the user's where it lies (--corpus DIR), which source this after recipe_options.sh.

min_dur=        # --corpus DIR: seconds of the shortest utterance that is taken, of any set; empty: any
max_dur=        # --corpus DIR: seconds of the longest one; empty: any
valid_speakers= # --corpus DIR without dev set: training speakers who become it: 'p226 p287'
