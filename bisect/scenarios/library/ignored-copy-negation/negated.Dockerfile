# check=experimental=CopyIgnoredFile;error=true
FROM scratch
COPY build.log /
