using System.ComponentModel;
using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using Platform.GpuKernels.Devices;

namespace Platform.GpuKernels.Tests.Kernels;

public class The_ptx
{
    [Fact]
    public async Task is_what_clang_makes_of_the_kernels()
    {
        var kernels = Path.Combine(Repository(), "src", "GpuKernels", "Kernels");
        Assert.SkipUnless(Directory.Exists(kernels), $"The source is not here ({kernels}).");
        Assert.SkipWhen(await Run("clang-19", "--version") is not 0, "clang-19 is not on this machine (Debian: apt-get install clang-19).");
        var made = Directory.CreateTempSubdirectory("ptx-").FullName;
        try
        {
            Assert.Equal(0, await Run(Path.Combine(kernels, "build-ptx"), made));
            foreach (var file in Directory.EnumerateFiles(kernels, "*.cl"))
            {
                var name = Path.GetFileNameWithoutExtension(file) + ".ptx";
                var now = await File.ReadAllTextAsync(Path.Combine(made, name), TestContext.Current.CancellationToken);
                var committed = await File.ReadAllTextAsync(Path.Combine(kernels, "ptx", name), TestContext.Current.CancellationToken);
                Assert.True(now == committed, $"{name} is not what clang makes of {Path.GetFileName(file)}: run src/GpuKernels/Kernels/build-ptx and commit.");
            }
        }
        finally
        {
            Directory.Delete(made, recursive: true);
        }
    }

    /// <summary>The same without clang: the file says of which source it was made.</summary>
    [Fact]
    public void was_made_of_the_kernels_as_they_are()
    {
        var names = typeof(TextLimits).Assembly.GetManifestResourceNames();
        var headers = string.Concat(names.Where(name => name.EndsWith(".h", StringComparison.Ordinal)).Order(StringComparer.Ordinal).Select(name => KernelModule.Resource(name["kernels/".Length..])));
        foreach (var name in names.Where(name => name.EndsWith(".cl", StringComparison.Ordinal)))
        {
            var module = Path.GetFileNameWithoutExtension(name["kernels/".Length..]);
            var source = headers + KernelModule.Resource(module + ".cl");
            var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(source)));
            var first = KernelModule.Resource(module + ".ptx").Split('\n')[0];
            Assert.Equal($"// Headers and {module}.cl, SHA-256 {hash}", first);
        }
    }

    [Fact]
    public void is_of_the_oldest_version_and_architecture_that_has_what_it_uses()
    {
        var assembly = typeof(TextLimits).Assembly;
        var modules = assembly.GetManifestResourceNames().Where(name => name.EndsWith(".ptx", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(modules);
        foreach (var name in modules)
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!, Encoding.UTF8);
            var text = reader.ReadToEnd();
            var hopper = name.EndsWith("hopper.ptx", StringComparison.Ordinal);
            Assert.Contains($"\n.version {(hopper ? "8.0" : "7.0")}\n", text, StringComparison.Ordinal);
            Assert.Contains($"\n.target {(hopper ? "sm_90a" : "sm_80")}\n", text, StringComparison.Ordinal);

            // A call would be to a function of a library that is not linked.
            Assert.DoesNotContain(".extern .func", text, StringComparison.Ordinal);
        }
    }

    /// <summary>Where the sources are, seen from the built test.</summary>
    private static string Repository()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Platform.sln"))) { folder = folder.Parent; }

        return folder?.FullName ?? "/";
    }

    private static async Task<int?> Run(string program, string argument)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, [argument]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            await Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            await process.WaitForExitAsync();
            return process.ExitCode;
        }
        catch (Win32Exception)
        {
            return null;
        }
    }
}
