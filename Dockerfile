# One image per service: docker build --target producer|predictor|trainer|dashboard|cli .
# (and exchange-simulator). Each has a virtual environment with its own locked requirements only:
# TensorFlow is in the trainer's alone.

# Build from bytes that cannot change: PYTHON_IMAGE=python:3.12-slim@sha256:..., as
# `scripts/image_digests.sh` writes it.
ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /app


# The slim image has no compiler: that of the wheel ziglang compiles the kernel, in this stage only.
FROM base AS kernel
COPY requirements/kernel.txt requirements/
RUN python -m pip install --require-hashes --only-binary :all: -r requirements/kernel.txt
COPY scripts/build_kernel.py scripts/
COPY shared/core/model/kernel/ shared/core/model/kernel/
RUN python scripts/build_kernel.py --compiler zig


# The code with its kernel, compiled to bytecode: a service's file system is read-only later.
FROM base AS code
COPY services/ services/
COPY shared/ shared/
COPY --from=kernel /app/shared/core/model/kernel/_kernel.so shared/core/model/kernel/
RUN python -m compileall -q services shared


FROM base AS environment
RUN python -m venv --without-pip /venv

FROM environment AS runtime-environment
COPY requirements/runtime.txt requirements/
RUN python -m pip --python /venv/bin/python install --require-hashes --only-binary :all: -r requirements/runtime.txt

FROM environment AS exchange-simulator-environment
COPY requirements/exchange_simulator.txt requirements/
RUN python -m pip --python /venv/bin/python install --require-hashes --only-binary :all: -r requirements/exchange_simulator.txt

FROM environment AS dashboard-environment
COPY requirements/dashboard.txt requirements/web_assets.txt requirements/
RUN python -m pip --python /venv/bin/python install --require-hashes --only-binary :all: -r requirements/dashboard.txt
# Two JavaScript files of this package are served; nothing of it is imported, so it needs nothing.
RUN python -m pip --python /venv/bin/python install --no-deps --require-hashes --only-binary :all: -r requirements/web_assets.txt

FROM environment AS cli-environment
COPY requirements/cli.txt requirements/
RUN python -m pip --python /venv/bin/python install --require-hashes --only-binary :all: -r requirements/cli.txt
# Of a user of Kafka or a server each: a volume takes its owner and its mode from here.
RUN mkdir -p -m 750 /var/lib/ulstm && for name in authority kafka redis \
      admin producer predictor trainer dashboard operator consumer; do \
      mkdir -p -m 750 "/credentials/$name"; \
    done

FROM environment AS trainer-environment
COPY requirements/trainer.txt requirements/
RUN python -m pip --python /venv/bin/python install --require-hashes --only-binary :all: -r requirements/trainer.txt
RUN mkdir -p /var/lib/ulstm/training


FROM base AS service
LABEL org.opencontainers.image.title="Updating LSTM" \
      org.opencontainers.image.description="LSTM forecasts of crypto prices that learn from every closed candle" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
# What installs packages has no business where services run.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/ensurepip /usr/local/lib/python3.*/site-packages/pip*
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
COPY --from=code /app/services/__init__.py services/
# Without shared/local_servers: it starts Kafka and Redis on a developer's machine.
COPY --from=code /app/shared/__init__.py shared/
COPY --from=code /app/shared/core/ shared/core/
COPY --from=code /app/shared/adapters/ shared/adapters/
COPY --from=code /app/shared/log/ shared/log/
USER 10001:10001


FROM service AS producer
COPY --from=runtime-environment /venv/ /venv/
COPY --from=code /app/services/producer/ services/producer/
CMD ["python", "-m", "services.producer"]

FROM service AS predictor
COPY --from=runtime-environment /venv/ /venv/
COPY --from=code /app/services/predictor/ services/predictor/
CMD ["python", "-m", "services.predictor"]

FROM service AS exchange-simulator
COPY --from=exchange-simulator-environment /venv/ /venv/
COPY --from=code /app/services/exchange_simulator/ services/exchange_simulator/
CMD ["python", "-m", "services.exchange_simulator"]

FROM service AS dashboard
COPY --from=dashboard-environment /venv/ /venv/
COPY --from=code /app/services/dashboard/ services/dashboard/
CMD ["python", "-m", "services.dashboard"]

# It carries the code that starts local servers, as commands import it, but neither Kafka nor Redis.
FROM service AS cli
COPY --from=cli-environment /venv/ /venv/
COPY --from=code /app/shared/reporting/ shared/reporting/
COPY --from=code /app/shared/local_servers/ shared/local_servers/
COPY --from=code /app/services/cli/ services/cli/
COPY --from=cli-environment --chown=10001:10001 /var/lib/ulstm/ /var/lib/ulstm/
COPY --from=cli-environment --chown=10001:10001 /credentials/ /credentials/
ENTRYPOINT ["python", "-m", "services.cli"]

FROM service AS trainer
COPY --from=trainer-environment /venv/ /venv/
COPY --from=code /app/shared/reporting/ shared/reporting/
COPY --from=code /app/services/trainer/ services/trainer/
# A new volume takes its owner from here.
COPY --from=trainer-environment --chown=10001:10001 /var/lib/ulstm/ /var/lib/ulstm/
CMD ["python", "-m", "services.trainer"]
