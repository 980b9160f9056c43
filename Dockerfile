# mimic with its .venv: docker build -t mimic . && docker run --rm -it mimic ./run.sh
FROM debian:12-slim
# Debian keeps no older versions of a package, so that none can be pinned. What is pinned is in requirements.txt.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends \
      build-essential ca-certificates ffmpeg git procps python3 python3-dev python3-venv util-linux \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /mimic
# What the set-up reads comes first, so that a change of the code installs nothing again.
COPY requirements.txt requirements-pesq.txt ./
COPY steps/setup.sh steps/
COPY steps/lib steps/lib
RUN steps/setup.sh
COPY . .
RUN bash -c '. ./path.sh && python3 -c "from mimic import compiled; list(map(compiled.library, compiled.LIBRARIES))"'
CMD ["./run.sh"]
