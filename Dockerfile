# edgewright with everything for the CPU targets; about 6 GB, most of it PyTorch.
#
#   docker build -t edgewright .
#   docker run --rm -v "$PWD:/work" edgewright deploy resnet18 --quick
#
# Results and the store of what was made before go to the mounted folder, under the caller's name with
# --user "$(id -u):$(id -g)". A figure measured in a container is one of the machine under it.
FROM python:3.11-slim

RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/edgewright
# First what changes seldom: the layer with PyTorch is built again only when the lock does.
COPY Makefile pyproject.toml requirements.lock setup.py README.md LICENSE ./
COPY edgewright edgewright
COPY pipeline pipeline
COPY exporters exporters
COPY benchmarks benchmarks
RUN make setup

ENV PATH="/opt/edgewright/.venv/bin:$PATH" \
    EDGEWRIGHT_CACHE=/work/.edgewright
WORKDIR /work
ENTRYPOINT ["edgewright"]
CMD ["--help"]
