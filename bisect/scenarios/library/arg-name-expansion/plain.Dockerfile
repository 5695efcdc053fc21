ARG BASE=scratch
FROM ${BASE}
ARG distro=focal
ARG focal=yes
RUN test "${focal:+Focal}${jammy:+Jammy}" = Focal
