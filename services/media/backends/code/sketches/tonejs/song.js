// A tune that never comes back quite the same, over chords that do.
const BPM = $bpm;
const SCALE = $scale_notes;
const CHORDS = $chords;
const BASS = $bass;
const CELL = $cell;
const DENSITY = $density;
const DRUMS = $drums;
let state = $seed;

// The same seed, the same piece: chance of our own.
function chance() {
  state = (state * 16807) % 2147483647;
  return state / 2147483647;
}

const room = new Tone.Reverb({ decay: $room, wet: 0.35 }).toDestination();
const echo = new Tone.FeedbackDelay("8n.", 0.25).connect(room);
const lead = new Tone.$lead({ volume: -10 }).connect(echo);
const pad = new Tone.PolySynth(Tone.$pad, {
  volume: -20,
  envelope: { attack: 0.4, decay: 0.3, sustain: 0.6, release: 2 }
}).connect(room);
const bass = new Tone.MonoSynth({
  volume: -14,
  oscillator: { type: "triangle" },
  envelope: { attack: 0.02, decay: 0.4, sustain: 0.4, release: 0.6 }
}).toDestination();
const kick = new Tone.MembraneSynth({ volume: -10 }).toDestination();
const hat = new Tone.NoiseSynth({
  volume: -28,
  envelope: { attack: 0.001, decay: 0.06, sustain: 0 }
}).toDestination();

let bar = 0;
let degree = Math.floor(SCALE.length / 2);

function wander() {
  const step = Math.round(CELL[Math.floor(chance() * CELL.length)]);
  degree = degree + step;
  if (degree < 0 || degree >= SCALE.length) {
    degree = degree - 2 * step;
  }
  degree = Math.max(0, Math.min(SCALE.length - 1, degree));
  return SCALE[degree];
}

const harmony = new Tone.Loop((time) => {
  const place = bar % CHORDS.length;
  pad.triggerAttackRelease(CHORDS[place], "1n", time);
  bass.triggerAttackRelease(BASS[place], "2n", time);
  bar = bar + 1;
}, "1n").start(0);

const tune = new Tone.Loop((time) => {
  if (chance() < DENSITY) {
    const length = chance() < 0.3 ? "4n" : "8n";
    lead.triggerAttackRelease(wander(), length, time, 0.5 + chance() * 0.4);
  }
}, "8n").start(0);

const beat = new Tone.Sequence((time, hit) => {
  if (DRUMS && hit === 1) {
    kick.triggerAttackRelease("C1", "8n", time);
  }
  if (DRUMS && hit !== 1 && chance() < 0.8) {
    hat.triggerAttackRelease("16n", time);
  }
}, [1, 0, 2, 0, 1, 2, 2, 0], "8n").start(0);

async function play() {
  await Tone.start();
  await room.ready;
  Tone.Transport.bpm.value = BPM;
  Tone.Transport.start("+0.1");
}

play();
