using System.Text;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Search.Keywords;
using Platform.GpuKernels.Search.Segments;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Search;

/// <summary>
/// Documents that are found by keywords and by vectors. It is folded from events: <see cref="Apply"/> takes what an event adds and deletes together with its
/// position, and what it answers depends on the living documents only, not on how they came in. Many may search while one writes.
/// </summary>
public sealed class HybridIndex : IDisposable
{
    /// <summary>Segments of a like size that become one.</summary>
    private const int MergedTogether = 8;

    /// <summary>Text that is indexed into one segment at first, in UTF-16 units; what is counted meanwhile takes several times as much memory.</summary>
    private const int TextOfSegment = 32 * 1024 * 1024;

    /// <summary>Documents of a first segment.</summary>
    private const int DocumentsOfSegment = 65_536;

    private readonly Lock writing = new();
    private readonly IndexFolder? folder;
    private volatile IndexSnapshot? current;
    private volatile SegmentsOnDevice? device;

    private HybridIndex(IndexSettings settings, IndexFolder? folder, IndexSnapshot first) => (Settings, this.folder, current) = (settings, folder, first);

    public IndexSettings Settings { get; }

    /// <summary>Of the last event folded in; 0: none.</summary>
    public long Position => Current.Position;

    private IndexSnapshot Current => current ?? throw new ObjectDisposedException(nameof(HybridIndex));

    private Analyser NewAnalyser => new(Settings.Stemming, Settings.FoldAccents);

    /// <summary>An empty index that is only in memory.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of its range.</exception>
    public static HybridIndex InMemory(IndexSettings settings)
    {
        settings.Check();
        return new HybridIndex(settings, null, new IndexSnapshot([], 0));
    }

    /// <summary>The index that was last saved in a folder, mapped; an empty one where none was. One process at a time has a folder open.</summary>
    /// <exception cref="CorruptIndexException">What is there cannot be used, see <see cref="Rebuild"/>.</exception>
    /// <exception cref="IOException">It cannot be read, or another process has it open.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of its range.</exception>
    public static HybridIndex Open(string path, IndexSettings settings)
    {
        settings.Check();
        var folder = new IndexFolder(path, settings);
        try { return new HybridIndex(settings, folder, folder.Load()); }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <summary>An empty index in a folder, whose saved one is removed: after a <see cref="CorruptIndexException"/>, or for other settings. The events are folded in anew.</summary>
    /// <exception cref="IOException"/>
    public static HybridIndex Rebuild(string path, IndexSettings settings)
    {
        settings.Check();
        var folder = new IndexFolder(path, settings);
        try
        {
            folder.Clear();
            return new HybridIndex(settings, folder, new IndexSnapshot([], 0));
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <summary>Folds one event, or several at once: deletes, then adds, where a document replaces the one with its id, and the last of several with one id counts.</summary>
    /// <param name="position">Of the last of these events; greater than that of the index.</param>
    /// <returns>False: this position is folded in already, and nothing changed. An event that comes twice does no harm.</returns>
    /// <exception cref="ArgumentException">A document cannot be indexed; the message names it, and nothing changed.</exception>
    public bool Apply(IReadOnlyList<IndexDocument> adds, IReadOnlyList<Guid> deletes, long position)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(position);
        foreach (var document in adds) { Check(document); }
        lock (writing)
        {
            if (position <= Current.Position) { return false; }

            var last = new Dictionary<Guid, IndexDocument>();
            foreach (var document in adds) { last[document.Id] = document; }
            var gone = deletes.Concat(last.Keys).Select(DocumentId.ToNumber).ToHashSet();
            var created = new List<Segment>();
            try
            {
                var views = Current.Segments.Select(view => Without(view, gone)).ToList();
                foreach (var part in Parts(last.Values))
                {
                    created.Add(SegmentBuilder.Build(part, NewAnalyser, Settings));
                    views.Add(new SegmentView(created[^1], null));
                }

                Merge(views, created);
                Publish(new IndexSnapshot(views, position));
            }
            finally
            {
                // The snapshot holds what it has; what was merged into others goes.
                foreach (var segment in created) { segment.LetGo(); }
            }

            return true;
        }
    }

    /// <summary>Makes one segment of as many as fit: what was deleted gives its memory back.</summary>
    public void Compact()
    {
        lock (writing)
        {
            var created = new List<Segment>();
            var views = new List<SegmentView>();
            try
            {
                var group = new List<SegmentView>();
                foreach (var view in Current.Segments)
                {
                    if (group.Count > 0 && !Fit([.. group, view])) { Close(); }
                    group.Add(view);
                }

                Close();
                Publish(new IndexSnapshot(views, Current.Position));

                void Close()
                {
                    if (group.Count == 1 && group[0].Live is null) { views.Add(group[0]); }
                    else if (group.Count > 0 && SegmentMerger.Merge(group, NewAnalyser.Version, Settings) is { } merged)
                    {
                        created.Add(merged);
                        views.Add(new SegmentView(merged, null));
                    }

                    group.Clear();
                }
            }
            finally
            {
                foreach (var segment in created) { segment.LetGo(); }
            }
        }
    }

    /// <summary>
    /// Writes the index, with its position, into its folder. When this returns it is on the disk; when it does not, the one saved before is still there.
    /// Segments in memory become mapped files.
    /// </summary>
    /// <exception cref="InvalidOperationException">The index is only in memory.</exception>
    /// <exception cref="IOException"/>
    public void Save()
    {
        if (folder is null) { throw new InvalidOperationException("This index was made in memory and has no folder to be saved in."); }
        lock (writing) { Publish(folder.Save(Current)); }
    }

    /// <summary>
    /// Scans large segments on a device from now on: the hits stay the same to the bit. Their codes are kept there too, one byte for each component and twelve
    /// for each vector. A device that fails is set aside, and everything is done on the CPU again. To be called once, with the device of <see cref="DeviceSurvey"/>.
    /// </summary>
    /// <param name="chosen">The CPU: nothing changes.</param>
    /// <param name="setAside">Told once if the device fails, on the thread whose search it was.</param>
    public void UseDevice(DeviceInfo chosen, Action<DeviceSetAside> setAside)
    {
        if (chosen.Kind != DeviceKind.Cpu) { Use(new SegmentsOnDevice(chosen, () => DeviceSurvey.Open(chosen), setAside)); }
    }

    /// <summary>The index as it is now, for several queries that must see the same.</summary>
    public IndexReader OpenReader()
    {
        while (true)
        {
            var snapshot = Current;
            if (snapshot.TryHold()) { return new IndexReader(snapshot, Settings, device); }
        }
    }

    /// <inheritdoc cref="IndexReader.Search(HybridQuery, CancellationToken)"/>
    public IReadOnlyList<SearchHit> Search(HybridQuery query, CancellationToken cancellation)
    {
        using var reader = OpenReader();
        return reader.Search(query, cancellation);
    }

    /// <summary>What was not saved is folded in again from the events.</summary>
    public void Dispose()
    {
        lock (writing)
        {
            current?.LetGo();
            current = null;
            device?.Dispose();
            folder?.Dispose();
        }
    }

    internal void Use(SegmentsOnDevice segments)
    {
        lock (writing)
        {
            _ = Current;
            if (device is not null) { throw new InvalidOperationException("This index has a device already."); }

            device = segments;
        }
    }

    private void Publish(IndexSnapshot next)
    {
        var before = Current;
        current = next;
        before.LetGo();
    }

    private static SegmentView Without(SegmentView view, HashSet<UInt128> ids)
    {
        var rows = new List<int>();
        foreach (var id in ids)
        {
            if (view.Segment.Find(id) is >= 0 and var row && view.IsLive(row)) { rows.Add(row); }
        }

        return rows.Count == 0 ? view : view.Without(rows);
    }

    private IEnumerable<List<IndexDocument>> Parts(IEnumerable<IndexDocument> documents)
    {
        var (part, length) = (new List<IndexDocument>(), 0L);
        foreach (var document in documents)
        {
            part.Add(document);
            length += document.Text.Length + (document.Title.Length * (long)Settings.TitleWeight);
            if (length < TextOfSegment && part.Count < DocumentsOfSegment) { continue; }

            yield return part;
            (part, length) = ([], 0);
        }

        if (part.Count > 0) { yield return part; }
    }

    /// <summary>
    /// Eight segments of a like size (by powers of eight) become one, so that a document is copied once a power and there are few segments; a segment of
    /// which less than half lives is written anew.
    /// </summary>
    private void Merge(List<SegmentView> views, List<Segment> created)
    {
        views.RemoveAll(view => view.LiveRows == 0);
        foreach (var sparse in views.Where(view => view.LiveRows * 2L < view.Segment.Rows).ToArray()) { Replace([sparse]); }
        while (views.GroupBy(view => (int)(Math.Log2(view.LiveRows) / 3)).Select(tier => tier.Take(MergedTogether).ToArray()).FirstOrDefault(tier => tier.Length == MergedTogether && Fit(tier)) is { } alike)
        {
            Replace(alike);
        }

        void Replace(SegmentView[] parts)
        {
            var merged = SegmentMerger.Merge(parts, NewAnalyser.Version, Settings)!;
            created.Add(merged);
            views[views.IndexOf(parts[0])] = new SegmentView(merged, null);
            views.RemoveAll(parts.Contains);
        }
    }

    private static bool Fit(IReadOnlyList<SegmentView> parts)
    {
        bool Small(Section section) => parts.Sum(view => view.Segment.Place(section).Length) <= SegmentMerger.TableBytes;
        return parts.Sum(view => (long)view.LiveRows) <= SegmentLayout.Rows
            && Small(Section.Terms) && Small(Section.TermKeys) && Small(Section.TermPostings) && Small(Section.Tags) && Small(Section.TagKeys) && Small(Section.TagPostings);
    }

    private void Check(IndexDocument document)
    {
        if ((long)document.Text.Length + document.Title.Length > SearchLimits.TextLength)
        {
            throw new ArgumentException($"Document {document.Id} has {document.Text.Length + (long)document.Title.Length} UTF-16 units of text, more than {SearchLimits.TextLength}: index it in chunks.");
        }

        if (document.Tags.Count > SearchLimits.Tags) { throw new ArgumentException($"Document {document.Id} has {document.Tags.Count} tags, more than {SearchLimits.Tags}."); }
        if (document.Tags.FirstOrDefault(tag => tag.Length == 0 || Encoding.UTF8.GetByteCount(tag) > SearchLimits.TagBytes) is { } wrong)
        {
            throw new ArgumentException($"Document {document.Id} has a tag of {Encoding.UTF8.GetByteCount(wrong)} bytes; a tag has 1 to {SearchLimits.TagBytes}.");
        }

        if (!document.Vector.IsEmpty && Quantiser.Refuse(document.Vector.Span, Settings.Dimensions) is { } reason)
        {
            throw new ArgumentException($"The vector of document {document.Id} cannot be indexed: {reason}.");
        }
    }
}
