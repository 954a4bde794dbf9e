namespace Platform.GpuKernels.Devices;

/// <summary>
/// A folder of this user's for what can be made again: <c>$PLATFORM_KERNEL_CACHE</c>, else <c>$XDG_CACHE_HOME/platform/kernels</c>, else
/// <c>~/.cache/platform/kernels</c>. Only its owner may enter it, since a driver runs what lies there.
/// </summary>
internal static class KernelCache
{
    public const string Variable = "PLATFORM_KERNEL_CACHE";

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>A folder inside the cache, made if need be; null where none can be written or others may write to it.</summary>
    public static string? Folder(string name) => Folder(name, Root());

    internal static string? Folder(string name, string root)
    {
        try
        {
            var folder = Path.Combine(root, name);
            Directory.CreateDirectory(folder, OwnerOnly);
            const UnixFileMode others = UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;
            return (File.GetUnixFileMode(folder) & others) == 0 ? folder : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static string Root()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } own) { return own; }
        if (Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache) { return Path.Combine(cache, "platform", "kernels"); }

        return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "platform", "kernels");
    }
}
