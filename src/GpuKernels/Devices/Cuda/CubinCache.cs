namespace Platform.GpuKernels.Devices.Cuda;

/// <summary>
/// What the driver's compiler made of a module, kept on disk, so that only the first start of a driver on an architecture compiles.
/// The name carries all that it depends on: module, architecture, driver and the PTX's hash.
/// </summary>
internal sealed class CubinCache(string? folder)
{
    /// <summary>Our largest module compiles to less than 1 MB; a larger file is not ours.</summary>
    public const int Bytes = 64 * 1024 * 1024;

    public static CubinCache OfThisUser() => new(KernelCache.Folder("cubin"));

    public byte[]? Read(KernelModule module, Version architecture, string driver)
    {
        if (Path(module, architecture, driver) is not { } path) { return null; }

        try
        {
            var file = new FileInfo(path);
            return file.Exists && file.Length is > 0 and <= Bytes ? File.ReadAllBytes(path) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Keeps a binary if it can: a full disk or a folder that cannot be written costs the next start its compilation, no more.</summary>
    public void Write(KernelModule module, Version architecture, string driver, ReadOnlySpan<byte> cubin)
    {
        if (Path(module, architecture, driver) is not { } path) { return; }

        // Two processes may compile at once: each writes its own file, and the last rename wins with the same content.
        var own = $"{path}.{Environment.ProcessId}.{Guid.NewGuid():N}";
        try
        {
            using (var file = new FileStream(own, FileMode.CreateNew, FileAccess.Write)) { file.Write(cubin); }
            File.Move(own, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Delete(own);
        }
    }

    /// <summary>Forgets a binary that the driver refused.</summary>
    public void Remove(KernelModule module, Version architecture, string driver)
    {
        if (Path(module, architecture, driver) is { } path) { Delete(path); }
    }

    private static void Delete(string path)
    {
        try { File.Delete(path); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { /* It is overwritten by the next one that can. */ }
    }

    private string? Path(KernelModule module, Version architecture, string driver)
    {
        if (folder is null) { return null; }

        var version = string.Concat(driver.Where(c => char.IsAsciiLetterOrDigit(c) || c == '.'));
        return System.IO.Path.Combine(folder, $"{module.Name}-sm{architecture.Major}{architecture.Minor}-{version}-{module.PtxHash[..32]}.cubin");
    }
}
