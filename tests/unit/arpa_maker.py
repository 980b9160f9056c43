"""Small n-gram models as ARPA files, of words by default."""

import gzip

ARPA = "\\data\\\nngram 1={}\nngram 2={}\n\n\\1-grams:\n{}\n\n\\2-grams:\n{}\n\n\\end\\\n"
ENDS = ["-0.9\t<s>\t-0.3", "-0.8\t</s>", "-1.2\t<unk>"]
WORDS = ["-0.4\tAB\t-0.2", "-0.6\tBA\t-0.1", "-1\tA\t-0.1"], ["-0.2\t<s> BA", "-0.5\tBA AB", "-0.4\tAB </s>"]


def arpa(path, words=WORDS, change=str):
    text = change(ARPA.format(len(words[0]) + 3, len(words[1]), "\n".join(ENDS + words[0]), "\n".join(words[1])))
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)
