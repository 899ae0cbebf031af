# Makes this shell able to build the cuda feature without NVIDIA's driver or toolkit; source it. The compiler and the
# libraries come from NVIDIA's Python packages, into ~/.cache/awing-cuda (or $AWING_CUDA_DIR); the driver's library is a stub
# that is only linked against. A machine that runs the result needs the driver and CUDA 13.
# CUDA_COMPUTE_CAP chooses the generation of the GPU: 87 Jetson Orin, 86 Ampere, 89 Ada, 90 Hopper (default).
cuda_dir="${AWING_CUDA_DIR:-$HOME/.cache/awing-cuda}"
if [ ! -x "$cuda_dir/bin/pip" ]; then
  python3 -m venv "$cuda_dir" 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; python3 -m venv --clear "$cuda_dir"; }
fi
cuda_home() { echo "$cuda_dir"/lib/python3*/site-packages/nvidia/cu13; }
if [ ! -x "$(cuda_home)/bin/nvcc" ]; then
  "$cuda_dir/bin/pip" -q install 'nvidia-cuda-nvcc==13.0.*' 'nvidia-cuda-crt==13.0.*' 'nvidia-nvvm==13.0.*' \
    'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cccl==13.0.*' 'nvidia-cuda-nvrtc==13.0.*' nvidia-cublas nvidia-curand
fi
CUDA_HOME="$(cuda_home)"
# The packages carry versioned libraries only; a linker looks for the plain names.
for library in cublas cublasLt curand cudart nvrtc; do
  for versioned in "$CUDA_HOME/lib/lib$library".so.*; do
    [ -e "$versioned" ] && ln -sf "$(basename "$versioned")" "$CUDA_HOME/lib/lib$library.so"
  done
done
mkdir -p "$cuda_dir/stub"
[ -e "$cuda_dir/stub/libcuda.so" ] ||
  echo 'void stub(void) {}' | cc -shared -Wl,-soname,libcuda.so.1 -o "$cuda_dir/stub/libcuda.so" -x c -
export CUDA_HOME CUDA_PATH="$CUDA_HOME" CUDA_ROOT="$CUDA_HOME" CUDA_TOOLKIT_ROOT_DIR="$CUDA_HOME" NVCC="$CUDA_HOME/bin/nvcc"
export PATH="$CUDA_HOME/bin:$PATH" CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-90}"
export LIBRARY_PATH="$CUDA_HOME/lib:$cuda_dir/stub${LIBRARY_PATH:+:$LIBRARY_PATH}"
# The driver's symbols are found on the machine with the GPU.
export RUSTFLAGS="${RUSTFLAGS:-} -C link-arg=-Wl,--unresolved-symbols=ignore-all"
