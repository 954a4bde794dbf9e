using System.IO.Compression;
using System.Text;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Tests.Embedding;
using Platform.Inference.Embedding;

namespace Platform.Inference.Tests.Embedding;

public sealed class A_model_store : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("store-").FullName;
    private readonly TemporaryModel _model = RandomModel.WriteWhole();

    private ModelStore Store => new(Path.Combine(_root, "models"));

    [Fact]
    public void keeps_what_a_model_needs_and_pins_it()
    {
        _model.Write("pytorch_model.bin", "x").Write("onnx/model.onnx", "x").Write(".git/config", "x").Write("README.md", "A model.");
        var stored = Import(_model.Path);
        Assert.Equal(["1_Pooling/config.json", "README.md", "config.json", "model.safetensors", "modules.json", "sentence_bert_config.json", "tokenizer.json"], stored.Files.Select(file => file.Path));
        Assert.Contains("pytorch_model.bin", stored.LeftOut);
        Assert.Equal(Path.Combine(_root, "models", stored.ContentHash), stored.Folder);
        Assert.Empty(Verify(stored));
        Assert.Equal(stored.ContentHash, Import(_model.Path).ContentHash);
        Assert.Single(Directory.GetDirectories(Path.Combine(_root, "models")));
    }

    [Fact]
    public void takes_a_zip_of_the_files_or_of_their_folder()
    {
        var stored = Import(_model.Path);
        Assert.Equal(stored.ContentHash, Import(Zip(path => path)).ContentHash);
        Assert.Equal(stored.ContentHash, Import(Zip(path => $"some-model/{path}")).ContentHash);
    }

    [Fact]
    public void keeps_nothing_where_it_is_only_asked()
    {
        Store.Import(_model.Path, keep: false, TestContext.Current.CancellationToken);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_root, "models")));
    }

    [Theory]
    [InlineData("../evil.json")]
    [InlineData("/etc/evil.json")]
    [InlineData("1_Pooling/../../evil.json")]
    [InlineData("..\\evil.json")]
    [InlineData("1_Pooling//evil.json")]
    public void takes_nothing_that_leads_outside_of_a_zip(string path)
    {
        Assert.Contains("leads outside", Refused(Zip(name => name, (path, "{}", 0))), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_root, "models")));
        Assert.False(File.Exists(Path.Combine(_root, "evil.json")));
    }

    [Fact]
    public void follows_no_links()
    {
        Assert.Contains("symbolic link", Refused(Zip(name => name, ("special.json", "/etc/passwd", unchecked((int)0xA1FF0000)))), StringComparison.Ordinal);
        File.CreateSymbolicLink(Path.Combine(_model.Path, "special_tokens_map.json"), "/etc/passwd");
        Assert.Contains("cp -rL", Refused(_model.Path), StringComparison.Ordinal);
    }

    [Fact]
    public void follows_no_links_to_folders()
    {
        var elsewhere = Path.Combine(_root, "elsewhere");
        Directory.Move(Path.Combine(_model.Path, "1_Pooling"), elsewhere);
        Directory.CreateSymbolicLink(Path.Combine(_model.Path, "1_Pooling"), elsewhere);
        Assert.Contains("cp -rL", Refused(_model.Path), StringComparison.Ordinal);
    }

    [Fact]
    public void waits_for_nothing_that_is_no_file()
    {
        var pipe = Path.Combine(_model.Path, "special_tokens_map.json");
        using (var made = System.Diagnostics.Process.Start("mkfifo", pipe)) { made.WaitForExit(); }
        Assert.Contains("special_tokens_map.json is empty, or no file", Refused(_model.Path), StringComparison.Ordinal);
    }

    [Fact]
    public void mends_a_model_that_is_imported_again()
    {
        var stored = Import(_model.Path);
        File.WriteAllText(Path.Combine(stored.Folder, "config.json"), "{}");
        File.WriteAllText(Path.Combine(stored.Folder, "extra.json"), "{}");
        Assert.NotEmpty(Verify(stored));
        Assert.Equal(stored.ContentHash, Import(_model.Path).ContentHash);
        Assert.Empty(Verify(stored));
        Assert.Equal([stored.ContentHash], Directory.GetFileSystemEntries(Path.Combine(_root, "models")).Select(Path.GetFileName));
    }

    [Fact]
    public async Task is_changed_by_one_at_a_time_and_clears_up_what_a_killed_one_left()
    {
        var left = Directory.CreateDirectory(Path.Combine(_root, "models", ".incoming-0")).FullName;
        var first = await Store.TakeTurn(TestContext.Current.CancellationToken);
        Assert.False(Directory.Exists(left));
        var second = Store.TakeTurn(TestContext.Current.CancellationToken);
        using var impatient = new CancellationTokenSource();
        var third = Store.TakeTurn(impatient.Token);
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => third);
        Assert.False(second.IsCompleted);
        first.Dispose();
        (await second).Dispose();
    }

    [Fact]
    public void takes_a_path_once()
    {
        Assert.Contains("twice", Refused(Zip(name => name, ("config.json", "{}", 0))), StringComparison.Ordinal);
        Assert.Contains("more than 100 files", Refused(Zip(name => name, [.. Enumerable.Range(0, 100).Select(i => ($"{i}.json", "{}", 0))])), StringComparison.Ordinal);
    }

    [Fact]
    public void refuses_what_is_no_model()
    {
        Assert.Contains("There is no", Refused(Path.Combine(_root, "missing")), StringComparison.Ordinal);
        var text = Path.Combine(_root, "text.zip");
        File.WriteAllText(text, "no zip");
        Assert.Contains("no zip", Refused(text), StringComparison.Ordinal);
        Assert.Contains("none of a model's files", Refused(Directory.CreateDirectory(Path.Combine(_root, "empty")).FullName), StringComparison.Ordinal);
        _model.Write("config.json", RandomModel.Bert.Replace("bert", "t5", StringComparison.Ordinal));
        Assert.Throws<UnusableModelException>(() => Import(_model.Path));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_root, "models")));
    }

    [Fact]
    public void finds_what_has_changed_since()
    {
        var stored = Import(_model.Path);
        var pooling = Path.Combine(stored.Folder, "1_Pooling", "config.json");
        File.WriteAllText(pooling, File.ReadAllText(pooling).Replace("mean", "max", StringComparison.Ordinal));
        File.WriteAllText(Path.Combine(stored.Folder, "extra.json"), "{}");
        Assert.Equal(2, Verify(stored).Count);
        File.Delete(pooling);
        Assert.Contains(Verify(stored), fault => fault.Contains("missing", StringComparison.Ordinal));
        Store.Delete(stored.ContentHash);
        Assert.Contains("import it again", Assert.Single(Verify(stored)), StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _model.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    private StoredModel Import(string source) => Store.Import(source, keep: true, TestContext.Current.CancellationToken);

    private IReadOnlyList<string> Verify(StoredModel stored) => Store.Verify(stored.ContentHash, stored.Files, TestContext.Current.CancellationToken);

    private string Refused(string source) => Assert.Throws<ModelStoreException>(() => Import(source)).Message;

    private string Zip(Func<string, string> name, params (string Path, string Text, int Attributes)[] more)
    {
        var path = Path.Combine(_root, $"{Guid.NewGuid()}.zip");
        using var zip = ZipFile.Open(path, ZipArchiveMode.Create);
        foreach (var file in Directory.GetFiles(_model.Path, "*", SearchOption.AllDirectories)) { zip.CreateEntryFromFile(file, name(Path.GetRelativePath(_model.Path, file)), CompressionLevel.Fastest); }
        foreach (var (entryPath, text, attributes) in more)
        {
            var entry = zip.CreateEntry(entryPath);
            entry.ExternalAttributes = attributes;
            using var stream = entry.Open();
            stream.Write(Encoding.UTF8.GetBytes(text));
        }

        return path;
    }
}
