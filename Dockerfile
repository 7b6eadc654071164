# The program in a container, with its libraries and nothing else that was built:
#
#   docker build -t mvscope .
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/work" mvscope classify --explain photo.jpg
#
# With Apptainer (clusters): apptainer build mvscope.sif docker-daemon:mvscope:latest && ./mvscope.sif classify photo.jpg
FROM debian:12-slim AS build
WORKDIR /source
COPY . .
RUN apt-get update \
    && apt-get install -y --no-install-recommends make ca-certificates \
    && .ci/deps build \
    && make -j"$(nproc)" dist OUT=/packed \
    && mkdir /opt/mvscope \
    && tar -C /opt/mvscope --strip-components=1 -xzf /packed/mvscope-*.tar.gz

FROM debian:12-slim
COPY --from=build /opt/mvscope /opt/mvscope
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
RUN ln -s /opt/mvscope/bin/mvscope /usr/local/bin/mvscope
WORKDIR /work
ENTRYPOINT ["mvscope"]
