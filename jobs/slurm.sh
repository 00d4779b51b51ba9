#!/bin/sh
# The run itself: it starts the workers of slurm.toml as jobs of their own, and they end with it. Submit it again to go on.
#SBATCH --job-name=nanocensus
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@300
nanocensus run slurm.toml &
run=$!
trap 'kill -TERM $run' TERM
wait $run
code=$?
if [ $code -gt 128 ]; then  # the wait was interrupted, not the run
  wait $run
  code=$?
fi
exit $code
