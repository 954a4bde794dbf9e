using System.Diagnostics;
using Platform.Capabilities.Blobs;
using Platform.Messaging;

namespace Platform.Capabilities.Tests;

public sealed class A_content_store : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("platform-blobs-").FullName;

    [Fact]
    public void keeps_equal_bytes_once_and_gives_them_back()
    {
        var store = new ContentStore(folder);
        var hash = store.Put("abc"u8);
        Assert.Equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hash);
        Assert.Equal(hash, store.Put("abc"u8));
        Assert.Equal("abc"u8.ToArray(), store.Read(hash));
        Assert.Single(Directory.GetFiles(folder, "*", SearchOption.AllDirectories));
    }

    [Fact]
    public void notices_bytes_that_were_changed_and_mends_them_when_they_come_again()
    {
        var store = new ContentStore(folder);
        var hash = store.Put("abc"u8);
        File.WriteAllText(Path.Combine(folder, hash[..2], hash[2..]), "abd");
        Assert.Throws<CorruptContentException>(() => store.Read(hash));
        store.Put("abc"u8);
        Assert.Equal("abc"u8.ToArray(), store.Read(hash));
    }

    [Fact]
    public void refuses_more_than_its_limit_and_names_that_are_no_hash()
    {
        var store = new ContentStore(folder, maxBytes: 3);
        Assert.Throws<LimitExceededException>(() => store.Put("abcd"u8));
        Assert.Throws<ArgumentException>(() => store.Read("../../../../etc/passwd"));
    }

    /// <summary>In a process of its own, in which every fsync answers EIO. The child is this test program, told to run <see cref="puts_as_a_child"/>.</summary>
    [Fact]
    public async Task never_acknowledges_what_the_disk_refused()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/strace"), "strace is not installed.");
        Assert.Equal("stored", await Child([]));
        Assert.Equal("refused", await Child(["/usr/bin/strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO"]));

        async Task<string> Child(string[] before)
        {
            var answer = Path.Combine(folder, $"answer-{before.Length}");
            string[] line = [.. before, Environment.ProcessPath!, .. Environment.ProcessPath!.EndsWith("dotnet", StringComparison.Ordinal) ? [typeof(A_content_store).Assembly.Location] : Array.Empty<string>(), "--filter-method", "*puts_as_a_child"];
            var start = new ProcessStartInfo(line[0], line[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
            start.Environment["PLATFORM_CHILD_STORE"] = Path.Combine(folder, "child" + before.Length);
            start.Environment["PLATFORM_CHILD_ANSWER"] = answer;
            using var process = Process.Start(start)!;
            var output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
            var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
            return File.Exists(answer) ? await File.ReadAllTextAsync(answer, TestContext.Current.CancellationToken) : await output + await errors;
        }
    }

    [Fact]
    public void puts_as_a_child()
    {
        var (child, answer) = (Environment.GetEnvironmentVariable("PLATFORM_CHILD_STORE"), Environment.GetEnvironmentVariable("PLATFORM_CHILD_ANSWER"));
        Assert.SkipWhen(child is null || answer is null, "Runs only as the child of never_acknowledges_what_the_disk_refused.");
        string said;
        try
        {
            new ContentStore(child).Put("abc"u8);
            said = "stored";
        }
        catch (IOException)
        {
            said = "refused";
        }

        File.WriteAllText(answer, said);
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
