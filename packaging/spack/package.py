# Spack recipe. In a repository of your own: packages/latgrad/package.py; then `spack dev-build latgrad@main`
# in the source tree, or `spack install latgrad` where `git` below is set to where the sources are kept.
from spack.package import *


class Latgrad(CMakePackage, CudaPackage):
    """Stochastic lattice models in large batches, fitted to data with approximate gradients."""

    license("BSD-3-Clause")

    version("main", branch="main")

    variant("openmp", default=True, description="Threads of the CPU backend")
    variant("hdf5", default=True, description="HDF5 results and data")
    variant("yaml", default=True, description="YAML configuration files")
    variant("png", default=True, description="PNG pictures")
    variant("nlopt", default=True, description="Optimisers of NLopt")
    variant("mpi", default=False, description="Several nodes through MPI")
    variant("shared", default=True, description="The shared library beside the static one")

    depends_on("c", type="build")
    depends_on("cxx", type="build", when="+cuda")
    depends_on("cmake@3.24:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("hdf5~mpi", when="+hdf5")
    depends_on("libyaml", when="+yaml")
    depends_on("libpng", when="+png")
    depends_on("nlopt", when="+nlopt")
    depends_on("mpi", when="+mpi")
    depends_on("cuda@12:", when="+cuda")
    depends_on("gnuplot", type="run")

    conflicts("cuda_arch=none", when="+cuda", msg="+cuda needs cuda_arch, for example cuda_arch=90")

    def cmake_args(self):
        args = [
            self.define_from_variant("LATGRAD_OPENMP", "openmp"),
            self.define_from_variant("LATGRAD_HDF5", "hdf5"),
            self.define_from_variant("LATGRAD_YAML", "yaml"),
            self.define_from_variant("LATGRAD_PNG", "png"),
            self.define_from_variant("LATGRAD_NLOPT", "nlopt"),
            self.define_from_variant("LATGRAD_MPI", "mpi"),
            self.define_from_variant("LATGRAD_CUDA", "cuda"),
            self.define_from_variant("LATGRAD_PYTHON", "shared"),
            self.define("LATGRAD_TESTS", False),
            self.define("LATGRAD_BENCH", False),
        ]
        if self.spec.satisfies("+cuda"):
            args.append(self.define("CMAKE_CUDA_ARCHITECTURES", self.spec.variants["cuda_arch"].value))
        return args
