// Three basic tones, each with a pattern of its own length: they meet, part and meet again.
const BPM = $bpm;
const ROW = $scale_notes;
const HITS = $hits;
const PLACES = [8, 12, 16];
const WAVES = ["sine", "triangle", "square"];
const PANS = [-0.6, 0.6, 0];
const LEVELS = [-12, -14, -22];

function strikes(slot, hits, places) {
  return (slot * hits) % places < hits;
}

function part(order) {
  const pan = new Tone.Panner(PANS[order]).toDestination();
  const synth = new Tone.Synth({
    volume: LEVELS[order],
    oscillator: { type: WAVES[order] },
    envelope: { attack: 0.005, decay: 0.12, sustain: 0.15, release: 0.2 }
  }).connect(pan);
  let slot = 0;
  let count = 0;
  return new Tone.Loop((time) => {
    if (strikes(slot, HITS[order], PLACES[order])) {
      synth.triggerAttackRelease(ROW[(count * (order + 1)) % ROW.length], "16n", time);
      count = count + 1;
    }
    slot = slot + 1;
  }, "16n");
}

// One after the other, as one enters a drawing.
part(0).start(0);
part(1).start("2m");
part(2).start("4m");

const block = new Tone.MembraneSynth({
  volume: -24,
  pitchDecay: 0.008,
  octaves: 2,
  envelope: { attack: 0.001, decay: 0.08, sustain: 0 }
}).toDestination();
new Tone.Loop((time) => {
  block.triggerAttackRelease("C4", "32n", time);
}, "4n").start(0);

async function play() {
  await Tone.start();
  Tone.Transport.bpm.value = BPM;
  Tone.Transport.start("+0.1");
}

play();
